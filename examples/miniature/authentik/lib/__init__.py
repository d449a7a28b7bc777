"""What every part uses"""
