"""E-mail"""
