"""Results for people: HTML, figures, terminal lines."""
