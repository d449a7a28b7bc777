"""For administrators"""
