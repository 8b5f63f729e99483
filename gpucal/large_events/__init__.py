"""Large events: what one particle does to hundreds of pixels. Snowballs in the near infrared, showers in MIRI."""
