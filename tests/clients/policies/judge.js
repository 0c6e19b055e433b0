// Decides on requests with an independent implementation of AWS's rules: one JSON case a line in, one result a line
// out, "Allowed", "ImplicitlyDenied" or "ExplicitlyDenied", or what the simulator cannot do.
import { createInterface } from 'node:readline'
import { runSimulation } from '@cloud-copilot/iam-simulate'

const named = (policies) => policies.map((policy, number) => ({ name: `p${number}`, policy }))

for await (const line of createInterface({ input: process.stdin })) {
  const given = JSON.parse(line)
  const simulation = {
    request: {
      principal: given.principal,
      action: given.action,
      resource: { resource: given.resource, accountId: given.account },
      contextVariables: given.context,
    },
    identityPolicies: named(given.identity),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    permissionBoundaryPolicies: given.boundary ? named([given.boundary]) : undefined,
    sessionPolicy: given.session ?? undefined,
    resourcePolicy: given.resourcePolicy ?? undefined,
  }
  const answer = await runSimulation(simulation, { simulationMode: 'Strict' })
  const ignored = answer.result?.ignoredContextKeys ?? []
  const result = answer.resultType === 'error' || ignored.length > 0
    ? `${JSON.stringify(answer.errors ?? ignored)}`
    : answer.overallResult
  process.stdout.write(`${result}\n`)
}
