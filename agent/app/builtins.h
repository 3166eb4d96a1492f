#pragma once

#include <memory>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include "agent/config/agent_config.h"
#include "attestors/support/account_names.h"
#include "base/core/clock.h"
#include "plugins/contract/destination_adapter.h"
#include "plugins/contract/key_manager.h"
#include "plugins/contract/node_attestor.h"
#include "plugins/contract/workload_attestor.h"

/// The only place that names concrete plugins: configuration in, contracts out.
namespace credence {

std::unique_ptr<NodeAttestor> MakeNodeAttestor(const NodeAttestorConfig& config,
                                               asio::thread_pool& pool);

/// Errors: those of opening the disk key manager's folder.
Result<std::unique_ptr<KeyManager>> MakeKeyManager(const KeyManagerConfig& config);

/// References outlive the attestors.
std::vector<std::unique_ptr<WorkloadAttestor>> MakeWorkloadAttestors(
    const AgentConfig& config,
    asio::any_io_executor executor,
    asio::thread_pool& pool,
    const AccountDatabase& accounts,
    const Clock& clock);

}  // namespace credence
