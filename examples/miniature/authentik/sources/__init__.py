"""Where users come from"""
