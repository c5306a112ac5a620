"""Months of readings of a whole town, made from a seed, with the truth about every meter.

A history exists to judge rules: it holds what was read, what the utility knew, and what was really done. The
attacks and faults in it are simulated. A rule that finds them does what it says; how it does in the field, with real
customers, real wiring and attacks that nobody thought of, is not shown by any figure from here.

    noise         random numbers by place, so that no meter depends on another
    span          the local days and intervals of a history
    surroundings  temperature, clouds, holidays, festivals: what the meters of a site share
    population    customers and lines, drawn one by one
    scenarios     what can happen to a meter, and what should be found
    casting       what happens to which meter, and when
    demand        what the customers really draw
    electricity   voltages, currents and powers of it, phase by phase
    masters       what the master meter of a line sees
    tampering     what a touched meter makes of it
    metering      one day of readings of all meters, registers included
    files         readings, registry and truth on disk
"""
