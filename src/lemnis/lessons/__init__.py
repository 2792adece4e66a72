"""Stage: turns a closed incident into a change set in git, with its proof."""
