"""The report in HTML: the parts that pages share, and the page that stands alone."""
