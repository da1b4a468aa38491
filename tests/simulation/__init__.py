"""The real program against simulated hosts, agents, people and a forge, in virtual time, from one seed."""
