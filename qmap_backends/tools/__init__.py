"""Tools that QMap can do without, a module each: the console, the report, the manual, tables that refresh...

qmap.py loads one on demand (`load_tool`). FOR_TOOLS there names all that they take from qmap.py.
"""
