"""The Django project"""
