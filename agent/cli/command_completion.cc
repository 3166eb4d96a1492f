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

std::string ForBash(const CLI::App& app) {
  std::string names;
  std::string cases;
  for (const CLI::App* command : app.get_subcommands({})) {
    names += (names.empty() ? "" : " ") + command->get_name();
    cases += fmt::format("    {}) offered='{}' ;;\n", command->get_name(), FlagsOf(*command));
  }
  // What follows "--" is another program's; the shell completes it as files.
  return fmt::format(
      "_credence() {{\n"
      "  local word offered=''\n"
      "  for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do\n"
      "    [[ $word == -- ]] && return\n"
      "  done\n"
      "  case ${{COMP_WORDS[1]}} in\n{}  esac\n"
      "  ((COMP_CWORD == 1)) && offered='{}'\n"
      "  COMPREPLY=($(compgen -W \"$offered\" -- \"${{COMP_WORDS[COMP_CWORD]}}\"))\n"
      "}}\n"
      "complete -o default -F _credence credence",
      cases,
      names);
}

std::string ForZsh(const CLI::App& app) {
  return "autoload -U +X compinit bashcompinit && compinit && bashcompinit\n" + ForBash(app);
}

std::string ForFish(const CLI::App& app) {
  std::string lines;
  for (const CLI::App* command : app.get_subcommands({})) {
    lines += fmt::format("complete -c credence -n __fish_use_subcommand -f -a {} -d {}\n",
                         command->get_name(),
                         ShellQuote(command->get_description()));
    for (const CLI::Option* option : command->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        lines +=
            fmt::format("complete -c credence -n '__fish_seen_subcommand_from {}' -l {} -d {}\n",
                        command->get_name(),
                        name,
                        ShellQuote(option->get_description()));
      }
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
