#include "agent/cli/config_report.h"

namespace credence {

boost::json::array MistakesAsJson(const std::vector<ConfigMistake>& mistakes) {
  boost::json::array list;
  for (const ConfigMistake& mistake : mistakes) {
    list.push_back({{"file", mistake.file},
                    {"line", mistake.line},
                    {"column", mistake.column},
                    {"key", mistake.key},
                    {"message", mistake.message}});
  }
  return list;
}

}  // namespace credence
