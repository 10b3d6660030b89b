/**
 * The words that generated people are made of. Every list is longer or exactly as long as the recipe needs, the
 * lists do not share words with each other or with the phrasings (a test says so), and universities and
 * employers are invented.
 */

const words = (text: string): readonly string[] => text.trim().split(/\s+/);
const lines = (text: string): readonly string[] =>
  text
    .trim()
    .split('\n')
    .map((line) => line.trim());

export const MONTHS = words(
  'January February March April May June July August September October November December',
);

export const CITIES = words(`
  Oslo Lisbon Vienna Prague Dublin Madrid Athens Warsaw Zurich Geneva
  Milan Turin Naples Porto Seville Lyon Nantes Ghent Bruges Utrecht
  Hamburg Leipzig Dresden Munich Krakow Gdansk Riga Tallinn Vilnius Helsinki
  Bergen Malmo Aarhus Toronto Denver Seattle Boston Chicago Nairobi Lima`);

export const UNIVERSITIES = lines(`
  Ashgrove University
  Bellhaven College
  Cedarmont University
  Dunmere Institute
  Eastvale College
  Fernwick University
  Glenrock Institute
  Hartsmoor University
  Ivybridge College
  Juniper Institute
  Kingsmere University
  Larkspur College
  Mapleton University
  Northgate Institute
  Oakhurst University
  Pinecrest College
  Quarrybank University
  Ravensworth Institute
  Silverlake College
  Thornbury University
  Underhill Institute
  Valleyford College
  Westbrook University
  Yarrowdale Institute
  Amberfield University
  Birchwood College
  Coldspring Institute
  Deepwater University
  Elmstead College
  Foxglove Institute
  Greycliff University
  Highmoor College
  Ironbridge Institute
  Lakeshore University
  Meadowbank College
  Newhaven Institute
  Redstone University
  Summerhill College
  Tidewater Institute
  Willowmere University`);

export const MAJORS = lines(`
  Biology
  Chemistry
  Physics
  Mathematics
  Statistics
  Economics
  Philosophy
  Linguistics
  Sociology
  Psychology
  Anthropology
  Archaeology
  Astronomy
  Geology
  Architecture
  Law
  Nursing
  Music
  Journalism
  Robotics
  Computer Science
  Political Theory
  Art History
  Civil Engineering
  Marine Ecology`);

export const EMPLOYERS = lines(`
  Alderon Systems
  Brightwell Foods
  Corvane Energy
  Deltrix Labs
  Emberline Studios
  Fluxmoor Motors
  Granvik Shipping
  Halcyra Health
  Inkwell Press
  Jorvane Textiles
  Kestrel Airlines
  Lumora Optics
  Mistral Foods
  Nordvale Energy
  Orbitum Systems
  Paxwell Insurance
  Quillon Press
  Ridgeline Motors
  Solvantis Labs
  Tamberly Studios
  Umbrix Software
  Verdane Farms
  Wexford Insurance
  Xylotech Software
  Yellowfin Shipping
  Zephyra Airlines
  Arclight Optics
  Bluecrest Health
  Copperhill Farms
  Driftwood Textiles
  Everbloom Foods
  Falconridge Motors
  Goldleaf Press
  Harborlight Energy
  Ironquay Shipping
  Jadewell Labs
  Lanternworks Studios
  Moonstone Software
  Novaline Systems
  Oakenheart Health`);

export const FIRST_NAMES = words(`
  Ada Adela Adrian Agnes Aidan Alan Albert Alfred Alicia Alva Alvin Amelia Amos Amy Andrea Angela
  Anita Anna Anton Arthur Astrid Audrey Axel Barbara Basil Beatrice Belinda Benjamin Bernard Bertha Beth Bianca
  Boris Brenda Brian Bridget Bruno Calvin Camilla Carla Carmen Caroline Catherine Cecil Cecilia Celeste Charles Chloe
  Christine Clara Claude Clement Clive Colin Constance Cora Cyril Daisy Damian Daniel Daphne David Deborah Delia
  Dennis Derek Diana Dominic Dora Doris Dorothy Duncan Edgar Edith Edmund Edward Edwin Eileen Elaine Eleanor
  Elena Eliot Elisa Ella Ellen Elsa Emil Emily Emma Enid Eric Erica Ernest Esme Esther Ethan
  Eugene Eunice Eva Evelyn Ezra Fabian Fay Felicity Felix Fergus Fiona Flora Frances Francis Freda Frederick
  Freya Gabriel Gail Gareth Gavin Gemma Geoffrey George Gerald Gertrude Gideon Gilbert Gillian Gladys Gloria Gordon
  Grace Greta Gustav Guy Gwen Hannah Harold Harriet Harry Hazel Heather Hector Hedda Helen Henry Herbert
  Hilda Holly Horace Howard Hugh Hugo Ian Ida Imogen Ingrid Irene Iris Irma Isaac Isabel Ivan
  Ivor Jacob James Jane Janet Jasper Jean Jeremy Jerome Jessica Joan Joel Johan John Jonah Jonas
  Joseph Josephine Joshua Joyce Judith Julia Julian Juliet Karen Karl Katherine Keith Kenneth Kevin Kira Klaus
  Laura Lavinia Leah Leila Lena Leo Leon Leona Leonard Leopold Leslie Lewis Lilian Linda Lionel Lisa
  Lorna Louis Louisa Lucas Lucia Lucy Luther Lydia Mabel Magnus Malcolm Marcel Marcia Marcus Margaret Maria
  Marian Marina Marjorie Martha Martin Mary Matilda Matthew Maurice Maximilian Melissa Meredith Michael Mildred Millicent Miranda
  Miriam Moira Monica Morris Muriel Myra Nadia Naomi Natalie Nathan Neil Nicholas Nicola Nigel Nina Noah
  Noel Nora Norman Olaf Olga Olive Oliver Olivia Oscar Otto Pamela Patricia Patrick Paul Paula Pauline
  Pearl Penelope Percy Peter Philip Phoebe Phyllis Priscilla Quentin Rachel Ralph Raymond Rebecca Regina Reuben Rex
  Rhoda Richard Rita Robert Robin Roger Roland Rolf Ronald Rosalind Rosemary Rowena Roy Rufus Rupert Ruth
  Samuel Sandra Sarah Sebastian Selma Sheila Sibyl Sidney Silas Simon Sofia Solomon Sonia Stanley Stella Stephen`);

export const LAST_NAMES = words(`
  Abbott Acker Adler Ainsley Alcott Alden Allard Ambrose Amsel Anders Appleby Archer Arkwright Armitage Arnett Ashby
  Atkins Atwood Avery Babbage Bagley Bailey Bakewell Baldwin Ballard Bancroft Barclay Barlow Barnes Barrett Barton Bateman
  Baxter Beaumont Becker Bellamy Bennett Benson Beresford Bergman Birch Bishop Blackwood Blake Blanchard Bolton Bowen Boyd
  Bradley Bradshaw Bramley Brandt Braxton Brennan Brewster Briggs Broderick Bromley Bronson Buckley Burgess Burnham Burton Butler
  Byrne Calder Caldwell Calloway Cameron Campbell Carlisle Carlson Carmody Carney Carver Cassidy Chandler Chapman Chester Clayton
  Clifford Cobb Colby Coleman Collier Colton Conley Connolly Conrad Cooper Corbett Cornell Cosgrove Coulter Crandall Crane
  Crawford Cresswell Crosby Cullen Curtis Dalton Danvers Darby Dawson Decker Delaney Denham Denton Devlin Dexter Dickson
  Dillard Dixon Donovan Dorsey Dougherty Drake Draper Drummond Dudley Duffy Dunbar Durham Dwyer Easton Eckhart Egerton
  Eldridge Ellery Ellington Elmore Emerson Endicott Engel Everett Ewing Fairfax Falkner Farley Farrell Fenton Ferris Finch
  Finley Fischer Fitzroy Fleming Fletcher Flynn Forrester Fowler Foxworth Fraser Freeman Frost Fulton Gaines Galloway Gardner
  Garland Garrison Gentry Gibbons Gifford Gilmore Glover Goddard Goodwin Gorman Grady Graham Granger Grantham Greeley Greenwood
  Griffin Grimes Gunther Hadley Haines Halifax Hallam Hamlin Hammond Hanley Hansen Harding Hargrove Harlow Harmon Hastings
  Hathaway Hawkins Hayward Heath Henley Hensley Herman Hickman Higgins Hinton Hobbs Hodges Holden Holland Holloway Hooper
  Horton Houghton Hubbard Huxley Ingham Ingram Irving Iverson Jarvis Jennings Jensen Jessop Joslin Judson Kaplan Kavanagh
  Keating Keller Kelsey Kemp Kendall Kenyon Kerr Keswick Kimball Kingsley Kipling Kirby Kirkwood Knight Knowles Koenig
  Lambert Lancaster Landon Langdon Langley Larkin Larson Latham Lawson Leighton Lennox Lester Lindqvist Linwood Locke Lockwood
  Lombard Lowell Ludlow Lyndon Maddox Madison Maitland Mallory Manning Marlowe Marsden Marsh Mason Mather Maxwell Mayfield
  Meadows Mercer Merrick Middleton Milford Millar Mitchell Monroe Montague Moody Moran Moreland Morley Mortimer Mullins Murdoch
  Nash Naylor Neville Newcomb Newton Nolan Norris North Norwood Nugent Oakley Ogden Orwell Osborne Osgood Paget
  Palmer Parrish Patton Pearson Pemberton Penrose Perkins Pickett Pierce Plummer Porter Prescott Preston Proctor Quigley Radcliffe`);
