"""Tools that QMap can do without, a module for each: the console, the report, the manual, tables that refresh...

qmap.py loads one when it is asked for (`load_tool`). All that it takes from qmap.py stands in FOR_TOOLS there.
"""
