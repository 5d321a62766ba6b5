"""What a run is: every option, its role, and what becomes of it.

option            how an option is declared: role, jobs, range
job_kinds         the names of the jobs that options refer to
*_options         the declarations, by section
sections          all of them together: `Config`
checks            rules that involve more than one option
roles             what follows from roles: resume, caches, followers
folder_recipe     what those of a folder are, by its pictures and the machine
step_memory       what memory a training step takes
recipes           what a data set's options are, where nobody says
resolve           from what a user sets to a whole configuration
"""

from simclr_tf.config.sections import Config, options, sections

__all__ = ["Config", "options", "sections"]
