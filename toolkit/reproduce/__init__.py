"""The paper's tables and figures at reduced scale, made of units that can be stopped and gone on with."""
