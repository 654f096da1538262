"""From a Run and a subnet to a Bundle: runtime files with the front end inside, and all that a listener needs."""
