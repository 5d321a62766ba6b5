"""What a run is: every option, its role, and what becomes of it.

option    how an option is declared: role, jobs, range
sections  every option of a run
recipes   what a data set's options are, where the user says nothing
resolve   from what a user sets to a whole configuration
"""

from simclr_tf.config.sections import Config, options, sections

__all__ = ["Config", "options", "sections"]
