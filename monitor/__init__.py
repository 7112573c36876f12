"""Pure functions over rows and arrays: has the model become worse, and how sure are we?"""
