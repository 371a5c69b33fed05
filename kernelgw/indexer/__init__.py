"""The process that reads journals into the store, and answers what the gateway asks about older executions."""
