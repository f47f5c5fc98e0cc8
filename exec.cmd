@rem Lets npm scripts begin with exec on Windows too; elsewhere it replaces the shell that would not pass on signals.
@%*
