"""Units of long work that outlive the page or shell that asked for them."""
