"""Users, applications, pages"""
