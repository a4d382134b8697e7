import { Router } from "express";
import { cacheService, PROJECT_TTL_S, projectKey } from "../cache.js";
import { findProject, listProjects, scenesOf, type Project } from "../database.js";

const PAGE = 50;

export const projectRoutes = Router();

projectRoutes.get("/", async (_request, response) => {
  response.json({ projects: await listProjects(PAGE) });
});

projectRoutes.get("/:id", async (request, response) => {
  const id = Number(request.params.id);
  if (!Number.isInteger(id) || id < 1 || id > 2 ** 31 - 1) {
    response.status(404).json({ error: `no such project: ${request.params.id}` });
    return;
  }
  let project: Project | null | undefined = await cacheService.get<Project>(projectKey(id));
  if (project === null) {
    project = await findProject(id);
    if (project === undefined) {
      response.status(404).json({ error: `no such project: ${id}` });
      return;
    }
    await cacheService.set(projectKey(id), project, PROJECT_TTL_S);
  }
  response.json({ project, scenes: await scenesOf(id) });
});
