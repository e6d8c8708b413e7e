"""The catalogue as marketers handle it: a workbook to write in, pages to look at."""
