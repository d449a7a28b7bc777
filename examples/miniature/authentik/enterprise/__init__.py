"""What needs a license"""
