"""What a flow consists of"""
