"""The quickstart: the whole product on one machine, with a small real model."""
