"""The demonstration: a script over the commands that every user has, told on the terminal as it goes."""
