import { Router } from "express";
import { ANALYSIS_TTL_S, analysisKey, cacheService } from "../cache.js";
import { findAnalysis, latestAnalyses, type Analysis } from "../database.js";
import { using } from "../dependencies.js";
import { queueManager, QueueName } from "../queues/queue.config.js";

const PAGE = 50;

export const analysisRoutes = Router();

const isId = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value > 0 && value < 2 ** 31;

analysisRoutes.get("/", async (_request, response) => {
  response.json({ analyses: await latestAnalyses(PAGE) });
});

analysisRoutes.get("/:scene", async (request, response) => {
  const scene = Number(request.params.scene);
  let analysis: Analysis | null | undefined = null;
  if (isId(scene)) {
    analysis = await cacheService.get<Analysis>(analysisKey(scene));
    if (analysis === null) {
      analysis = await findAnalysis(scene);
      if (analysis !== undefined) {
        await cacheService.set(analysisKey(scene), analysis, ANALYSIS_TTL_S);
      }
    }
  }
  if (analysis === null || analysis === undefined) {
    response.status(404).json({ error: `no analysis of scene ${request.params.scene}` });
    return;
  }
  response.json({ analysis });
});

analysisRoutes.post("/", async (request, response) => {
  const scene = (request.body as { scene_id?: unknown } | undefined)?.scene_id;
  if (!isId(scene)) {
    response.status(400).json({ error: "scene_id is the id of a scene" });
    return;
  }
  const job = await using("redis", () =>
    queueManager.getQueue(QueueName.AI_ANALYSIS).add("analyse", { scene_id: scene }),
  );
  response.status(202).json({ job_id: job.id, scene_id: scene });
});
