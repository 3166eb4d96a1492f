#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "agent/app/version.h"
#include "agent/cli/commands.h"
#include "agent/cli/common_flags.h"

namespace credence {

void AddVersionCommand(CLI::App& app, const std::shared_ptr<Action>& action) {
  auto format = std::make_shared<OutputFormat>(OutputFormat::kHuman);
  CLI::App* command = app.add_subcommand("version", "Print the version");
  command->footer("Examples:\n  credence version\n  credence version --output json");
  AddOutputFlag(*command, *format);
  command->callback([format, action] {
    *action = [format] {
      if (*format == OutputFormat::kJson) {
        PrintJson({{"version", kVersion}});
      } else {
        PrintLine(fmt::format("credence {}", kVersion));
      }
      return ExitCode::kOk;
    };
  });
}

}  // namespace credence
