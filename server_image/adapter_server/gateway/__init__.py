"""The OpenAI API: who may ask, what is asked, which version answers, and the answer as it is generated."""
