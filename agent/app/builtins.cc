#include "agent/app/builtins.h"

#include <utility>
#include <variant>

#include "attestors/node/join_token/join_token_attestor.h"
#include "attestors/node/x509pop/x509pop_attestor.h"
#include "attestors/workload/unix/unix_attestor.h"
#include "plugins/keymanager/disk_key_manager.h"
#include "plugins/keymanager/memory_key_manager.h"

namespace credence {

std::unique_ptr<NodeAttestor> MakeNodeAttestor(const NodeAttestorConfig& config,
                                               asio::thread_pool& pool) {
  if (const auto* x509pop = std::get_if<X509PopAttestorConfig>(&config)) {
    return std::make_unique<X509PopAttestor>(
        X509PopFiles{.private_key_path = x509pop->private_key_path,
                     .certificate_path = x509pop->certificate_path,
                     .intermediates_path = x509pop->intermediates_path},
        pool);
  }
  return std::make_unique<JoinTokenAttestor>(std::get<JoinTokenAttestorConfig>(config).token);
}

Result<std::unique_ptr<KeyManager>> MakeKeyManager(const KeyManagerConfig& config) {
  if (const auto* disk = std::get_if<DiskKeyManagerConfig>(&config)) {
    auto opened = DiskKeyManager::Open(disk->directory);
    if (!opened.ok()) {
      return std::move(opened).error();
    }
    return std::unique_ptr<KeyManager>(*std::move(opened));
  }
  return std::unique_ptr<KeyManager>(std::make_unique<MemoryKeyManager>());
}

std::vector<std::unique_ptr<WorkloadAttestor>> MakeWorkloadAttestors(
    const AgentConfig& config,
    asio::any_io_executor executor,
    asio::thread_pool& pool,
    const AccountDatabase& accounts,
    const Clock& clock) {
  std::vector<std::unique_ptr<WorkloadAttestor>> attestors;
  if (config.unix_attestor) {
    UnixAttestor::Options options;
    options.discover_workload_path = config.unix_attestor->discover_workload_path;
    options.workload_size_limit = config.unix_attestor->workload_size_limit;
    attestors.push_back(std::make_unique<UnixAttestor>(executor, pool, accounts, clock, options));
  }
  return attestors;
}

}  // namespace credence
