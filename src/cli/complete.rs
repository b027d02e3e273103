//! What completes words in a shell, and the page for `man`, both from the table of commands and flags.

use crate::cli::defs::{COMMANDS, FLAGS};
use crate::cli::help::{ABOUT, help};
use crate::cli::{Command, Flag};

/// The script that completes words in this shell; `None` for one that is not known.
pub fn script(shell: &str) -> Option<String> {
    Some(match shell {
        "bash" => bash(),
        // Zsh brings along what runs the scripts of bash.
        "zsh" => format!("autoload -U +X compinit bashcompinit && compinit && bashcompinit\n{}", bash()),
        "fish" => fish(),
        _ => return None,
    })
}

fn names(separator: &str) -> String {
    COMMANDS.iter().map(|command| command.name).collect::<Vec<_>>().join(separator)
}

fn bash() -> String {
    let choices = FLAGS.iter().filter(|flag| !flag.choices.is_empty());
    let choices: String =
        choices.map(|flag| format!("        --{}) words='{}' ;;\n", flag.long, flag.choices.join(" "))).collect();
    let flags = |command: &Command| command.flags().map(|flag| format!("--{}", flag.long)).collect::<Vec<_>>();
    let commands = COMMANDS.iter().map(|command| (command.name, flags(command).join(" ")));
    let commands: String = commands.map(|(name, flags)| format!("            {name}) words='{flags}' ;;\n")).collect();
    format!(
        "_tagwright() {{
    local command= word words=
    for word in \"${{COMP_WORDS[@]:1:$((COMP_CWORD-1))}}\"; do
        case $word in {}) command=$word; break ;; esac
    done
    case ${{COMP_WORDS[$((COMP_CWORD-1))]}} in
{choices}    esac
    if [ -z \"$words\" ]; then
        case $command in
{commands}            *) words='{} help version completion man' ;;
        esac
    fi
    COMPREPLY=($(compgen -W \"$words\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))
}}
complete -o default -F _tagwright tagwright
",
        names("|"),
        names(" ")
    )
}

fn fish() -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let mut out = String::new();
    for command in COMMANDS {
        let (name, told) = (command.name, quoted(command.help));
        out += &format!("complete -c tagwright -n __fish_use_subcommand -a {name} -d {told}\n");
        let flag = |flag: &Flag| {
            let value = match (flag.value, flag.choices) {
                (None, _) => String::new(),
                (Some(_), []) => " -r".to_owned(),
                (Some(_), choices) => format!(" -x -a {}", quoted(&choices.join(" "))),
            };
            let (long, told) = (flag.long, quoted(flag.help));
            format!("complete -c tagwright -n '__fish_seen_subcommand_from {name}' -l {long}{value} -d {told}\n")
        };
        out.extend(command.flags().map(flag));
    }
    out
}

/// The page for `man`.
pub fn man() -> String {
    let mut out = format!(
        ".TH TAGWRIGHT 1 \"\" \"tagwright {}\"\n.SH NAME\ntagwright \\- {}\n.SH SYNOPSIS\n.B tagwright\n",
        env!("CARGO_PKG_VERSION"),
        as_is(ABOUT.trim_end_matches('.')).trim_end()
    );
    out += ".I COMMAND\n[\n.I ARGUMENTS\n]\n.SH DESCRIPTION\n";
    let kept = |text: &str| format!(".nf\n{}.fi\n", as_is(text));
    out += &kept(&help(None, true));
    out += ".SH COMMANDS\n";
    for command in COMMANDS {
        out += &format!(".SS {}\n{}", as_is(command.name).trim_end(), kept(&help(Some(command), true)));
    }
    out
}

/// Lines as they are, in the language of the page.
fn as_is(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga").replace('\'', "\\(aq");
        if line.starts_with('.') { format!("\\&{line}\n") } else { line + "\n" }
    };
    text.lines().map(line).collect()
}
