ALTER TABLE "interventions" ADD COLUMN "placement" text DEFAULT 'LAST_TOKEN' NOT NULL;--> statement-breakpoint
ALTER TABLE "interventions" ADD COLUMN "alpha_later" double precision;--> statement-breakpoint
ALTER TABLE "interventions" ADD CONSTRAINT "interventions_placement" CHECK ("interventions"."placement" in ('LAST_TOKEN', 'ANSWER', 'ARMED'));--> statement-breakpoint
UPDATE "interventions" SET "placement" = 'ARMED', "alpha_later" = "alpha" WHERE "armed";