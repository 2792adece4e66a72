"""What source code and its history say: routes, stack traces, who wrote a line, what forges tell of it."""
