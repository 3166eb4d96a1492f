#include "agent/cli/authority/selector_flags.h"

#include <map>
#include <utility>

#include <CLI/CLI.hpp>

#include "agent/cli/authority/wire_types.h"

namespace credence {

using spire::api::types::SelectorMatch;

void AddRepeatable(CLI::App& command,
                   const std::string& name,
                   std::vector<std::string>& values,
                   const std::string& description) {
  command.add_option(name, values, description)->allow_extra_args(false);
}

void AddSelectorFilter(CLI::App& command,
                       std::vector<std::string>& selectors,
                       SelectorMatch::MatchBehavior& match) {
  AddRepeatable(command, "--selector", selectors, "Those with this selector (repeatable)");
  static const std::map<std::string, SelectorMatch::MatchBehavior> kMatches{
      {"exact", SelectorMatch::MATCH_EXACT},
      {"any", SelectorMatch::MATCH_ANY},
      {"superset", SelectorMatch::MATCH_SUPERSET},
      {"subset", SelectorMatch::MATCH_SUBSET}};
  command
      .add_option("--matchSelectorsOn",
                  match,
                  "How their selectors compare with those given (default: superset)")
      ->transform(CLI::CheckedTransformer(kMatches).description(""))
      ->option_text("exact|any|superset|subset");
}

Result<SelectorMatch> WireSelectorMatch(const std::vector<std::string>& selectors,
                                        SelectorMatch::MatchBehavior match) {
  SelectorMatch wanted;
  wanted.set_match(match);
  for (const std::string& text : selectors) {
    auto selector = WireSelector("-selector", text);
    if (!selector.ok()) {
      return std::move(selector).error();
    }
    *wanted.add_selectors() = *std::move(selector);
  }
  return wanted;
}

}  // namespace credence
