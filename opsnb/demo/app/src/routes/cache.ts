import { Router } from "express";
import { warmCache } from "../cache.js";
import { log } from "../log.js";

/** The handbook's hundred critical projects. */
const CRITICAL = 100;

export const cacheRoutes = Router();

cacheRoutes.post("/warm", async (_request, response) => {
  const warmed = await warmCache(CRITICAL);
  log("INFO", `cache warmed: ${warmed.projects} projects, ${warmed.analyses} analyses`);
  response.json({ warmed });
});
