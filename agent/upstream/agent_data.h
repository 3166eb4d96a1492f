#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

#include "base/core/result.h"

namespace credence {

/// What an agent keeps between runs, in the form of SPIRE's agent, so that either can take over
/// from the other. No keys: those are the key manager's.
struct AgentData {
  /// DER, leaf first; empty when there is none.
  std::vector<std::string> svid_chain;
  /// DER; empty when there is none.
  std::vector<std::string> bundle;
  bool reattestable = false;
  /// Members of the file that only SPIRE's agent uses; written back as they were.
  boost::json::object others;
};

/// "<data_dir>/agent-data.json".
std::string AgentDataPath(const std::string& data_dir);

/// Reads the file's content. Errors: kDataLoss naming the member at fault.
Result<AgentData> ParseAgentData(std::string_view content);
/// The file's content.
std::string FormatAgentData(const AgentData& data);

/// The stored data; an absent file is empty data. Blocks.
/// Errors: as ReadFile; kDataLoss for a damaged file. All name the file.
Result<AgentData> LoadAgentData(const std::string& data_dir);
/// Replaces the file in one step, mode 0600; the folder is created (0750) if absent. Blocks.
/// Errors: as WriteFileAtomically.
Result<void> StoreAgentData(const std::string& data_dir, const AgentData& data);

}  // namespace credence
