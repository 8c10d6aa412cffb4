"""`backbeat completion`: the script by which a shell completes commands, options and the names of schedules."""

from __future__ import annotations

import click

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_BACKBEAT_COMPLETE"
"""By which the script asks; click looks at it."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash: eval "$(backbeat completion bash)" in ~/.bashrc
    zsh:  eval "$(backbeat completion zsh)" in ~/.zshrc
    fish: backbeat completion fish > ~/.config/fish/completions/backbeat.fish
    """
    from click.shell_completion import get_completion_class

    chosen = get_completion_class(shell)
    assert chosen is not None  # click.Choice has seen to it
    root = ctx.find_root().command
    # source() would start the shell to ask for its version; source_template is what it fills in
    script = chosen(root, {}, "backbeat", VARIABLE)
    click.echo(script.source_template % script.source_vars())
