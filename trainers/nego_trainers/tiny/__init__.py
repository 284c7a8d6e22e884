"""nego-tiny: a language model of about a million parameters that talks over dilemmas, made from nothing but this package."""
