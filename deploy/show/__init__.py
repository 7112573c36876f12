"""Figures for people: pictures, intervals, progress, times.

Every wing of deploy may import it; of deploy it imports `stack`, whose processes `progress` shows.
"""
