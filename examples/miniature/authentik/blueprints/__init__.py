"""Objects described in files"""
