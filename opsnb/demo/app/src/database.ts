/** The service's questions to PostgreSQL. */

import { pool, using } from "./dependencies.js";

export interface Project {
  id: number;
  name: string;
  status: string;
  created_at: string;
}

export interface Analysis {
  id: number;
  scene_id: number;
  model: string;
  score: number;
  created_at: string;
}

async function rows<T>(sql: string, values: unknown[]): Promise<T[]> {
  return using("postgres", async () => (await pool.query(sql, values)).rows as T[]);
}

export async function listProjects(limit: number): Promise<Project[]> {
  return rows("SELECT id, name, status, created_at FROM projects ORDER BY id LIMIT $1", [limit]);
}

export async function findProject(id: number): Promise<Project | undefined> {
  return (
    await rows<Project>("SELECT id, name, status, created_at FROM projects WHERE id = $1", [id])
  )[0];
}

export async function latestAnalyses(limit: number): Promise<Analysis[]> {
  return rows(
    "SELECT id, scene_id, model, score, created_at FROM analyses ORDER BY scene_id LIMIT $1",
    [limit],
  );
}

export async function findAnalysis(sceneId: number): Promise<Analysis | undefined> {
  return (
    await rows<Analysis>(
      "SELECT id, scene_id, model, score, created_at FROM analyses WHERE scene_id = $1",
      [sceneId],
    )
  )[0];
}

/** How often a scene was looked at; the table is there in a drill only. */
export async function eventsOf(sceneId: number): Promise<number> {
  const found = await rows<{ count: string }>(
    "SELECT count(*) FROM events WHERE scene_id = $1 AND kind = $2",
    [sceneId, "viewed"],
  );
  return Number(found[0]?.count ?? 0);
}

export async function scenesOf(projectId: number): Promise<{ id: number; title: string }[]> {
  return rows("SELECT id, title FROM scenes WHERE project_id = $1 ORDER BY position", [projectId]);
}

/** Keep the one analysis of a scene; undefined when there is no such scene. */
export async function saveAnalysis(sceneId: number, score: number): Promise<Analysis | undefined> {
  return (
    await rows<Analysis>(
      `INSERT INTO analyses (scene_id, model, score)
       SELECT id, 'gemini', $2 FROM scenes WHERE id = $1
       ON CONFLICT (scene_id) DO UPDATE SET score = excluded.score, created_at = now()
       RETURNING id, scene_id, model, score, created_at`,
      [sceneId, score],
    )
  )[0];
}
