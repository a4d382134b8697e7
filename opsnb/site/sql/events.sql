-- What happened to a target, to be marked in its history: deployments, other actions, incidents.
SELECT CASE WHEN name LIKE 'deploying.%' THEN 'deployment' ELSE 'action' END AS event, at
FROM actions JOIN runs ON runs.id = run
WHERE target = :target AND begun AND at IS NOT NULL
UNION ALL
SELECT 'incident', min(started)
FROM runs
WHERE target = :target AND incident IS NOT NULL
GROUP BY incident
ORDER BY 2
