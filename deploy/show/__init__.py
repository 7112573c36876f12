"""Figures for people: pictures, intervals, progress, times.

Each module stands alone: `drawing` makes SVG, `intervals` computes bounds of shares, `meter` and `progress` show long
work on a terminal, `times` writes times and durations. Of deploy it imports `stack`, whose processes `progress` shows;
`operator` and all above may import it.
"""
