#include <memory>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/cli/commands.h"
#include "agent/cli/output.h"

namespace credence {
namespace {

std::string FlagsOf(const CLI::App& command) {
  std::string flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      flags += (flags.empty() ? "--" : " --") + name;
    }
  }
  return flags;
}

std::string NamesOf(const CLI::App& app) {
  std::string names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names += (names.empty() ? "" : " ") + command->get_name();
  }
  return names;
}

/// What bash offers after `words`, the commands so far: those of a group come first.
std::string BashCases(const CLI::App& command, const std::string& words) {
  std::string cases;
  for (const CLI::App* inner : command.get_subcommands({})) {
    cases += BashCases(*inner, words + inner->get_name() + " ");
  }
  return cases + fmt::format("    '{}'*) offered='{}' ;;\n",
                             words,
                             cases.empty() ? FlagsOf(command) : NamesOf(command));
}

std::string ForBash(const CLI::App& app) {
  // What follows "--" is another program's; the shell completes it as files.
  return fmt::format(
      "_credence() {{\n"
      "  local word before='' offered=''\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    [[ $word == -- ]] && return\n"
      "    before+=\"$word \"\n"
      "  done\n"
      "  case $before in\n{}  esac\n"
      "  COMPREPLY=($(compgen -W \"$offered\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n"
      "}}\n"
      "complete -o default -F _credence credence",
      BashCases(app, ""));
}

std::string ForZsh(const CLI::App& app) {
  return "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + ForBash(app);
}

/// What fish offers for `command` where `condition` holds.
std::string FishCommand(const CLI::App& command, const std::string& condition) {
  return fmt::format("complete -c credence -n {} -f -a {} -d {}\n",
                     condition,
                     command.get_name(),
                     ShellQuote(command.get_description()));
}

std::string FishFlags(const CLI::App& command, const std::string& condition) {
  std::string lines;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      lines += fmt::format("complete -c credence -n '{}' -l {} -d {}\n",
                           condition,
                           name,
                           ShellQuote(option->get_description()));
    }
  }
  return lines;
}

std::string ForFish(const CLI::App& app) {
  std::string lines;
  for (const CLI::App* command : app.get_subcommands({})) {
    const std::string seen = "__fish_seen_subcommand_from " + command->get_name();
    const std::string inner_names = NamesOf(*command);
    lines += FishCommand(*command, "__fish_use_subcommand");
    for (const CLI::App* inner : command->get_subcommands({})) {
      lines += FishCommand(
          *inner, fmt::format("'{}; and not __fish_seen_subcommand_from {}'", seen, inner_names));
      lines += FishFlags(
          *inner, fmt::format("{}; and __fish_seen_subcommand_from {}", seen, inner->get_name()));
    }
    if (inner_names.empty()) {
      lines += FishFlags(*command, seen);
    }
  }
  lines.pop_back();
  return lines;
}

}  // namespace

void AddCompletionCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print what makes a shell complete these commands");
  command->footer(
      "Examples:\n"
      "  source <(credence completion bash)                                    in ~/.bashrc\n"
      "  source <(credence completion zsh)                                     in ~/.zshrc\n"
      "  credence completion fish >~/.config/fish/completions/credence.fish    once");
  command->add_option("SHELL", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  command->callback([&app, shell, action] {
    *action = [&app, shell] {
      PrintLine(*shell == "bash" ? ForBash(app) : *shell == "zsh" ? ForZsh(app) : ForFish(app));
      return ExitCode::kOk;
    };
  });
}

}  // namespace credence
