"""Figures for people: pictures, intervals, progress, durations."""
