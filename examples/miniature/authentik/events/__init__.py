"""Tasks and what they logged"""
